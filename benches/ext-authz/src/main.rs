//! `ext-authz PEER SEED`: an authorization service of Envoy (`envoy.service.auth.v3`) on a free port of loopback, which
//! it prints. It lets a request pass if `x-totp` holds a code of the caller in `x-jwt-client`, now or one step away
//! (RFC 6238, SHA-1, 6 digits, 30 s).

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use envoy_types::ext_authz::v3::{CheckRequestExt, CheckResponseExt};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

const STEP_SECONDS: u64 = 30;

struct SecondFactor {
    seeds: HashMap<String, Vec<u8>>,
}

#[tonic::async_trait]
impl Authorization for SecondFactor {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let headers = request
            .get_client_headers()
            .ok_or_else(|| Status::invalid_argument("no headers"))?;
        let seed = headers.get("x-jwt-client").and_then(|peer| self.seeds.get(peer));
        let is_good = match (seed, headers.get("x-totp")) {
            (Some(seed), Some(code)) => is_good(seed, code, now()),
            _ => false,
        };
        let answer = match is_good {
            true => Status::ok(""),
            false => Status::unauthenticated("bad second factor"),
        };
        Ok(Response::new(CheckResponse::with_status(answer)))
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn is_good(seed: &[u8], presented: &str, now: u64) -> bool {
    let step = now / STEP_SECONDS;
    (step.saturating_sub(1)..=step + 1).any(|step| code(seed, step) == presented)
}

/// RFC 4226 §5.3.
fn code(seed: &[u8], step: u64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(seed).expect("HMAC takes keys of any length");
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest[19] & 0xf);
    let number = digest[offset..offset + 4]
        .iter()
        .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, peer, seed] = arguments.as_slice() else {
        return Err("usage: ext-authz PEER SEED".into());
    };
    let seed = data_encoding::BASE32_NOPAD.decode(seed.trim_end_matches('=').as_bytes())?;
    let seeds = HashMap::from([(peer.clone(), seed)]);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    Server::builder()
        .add_service(AuthorizationServer::new(SecondFactor { seeds }))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
