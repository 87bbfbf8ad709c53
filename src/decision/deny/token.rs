//! Why a token is refused, and what its caller is told of it.

use super::Told;
use crate::jwt;

/// Reasons of a token, grouped as an operator acts on them.
pub(super) fn reason(error: &jwt::Error) -> &'static str {
    match error {
        jwt::Error::TooLong { .. } => "token_too_long",
        jwt::Error::Malformed(_) => "token_malformed",
        jwt::Error::Encrypted => "token_encrypted",
        jwt::Error::CriticalHeader | jwt::Error::UnencodedPayload => "token_header_rejected",
        jwt::Error::AlgorithmNotAllowed { .. } => "algorithm_not_allowed",
        jwt::Error::TypeNotAllowed { .. } | jwt::Error::NotAnAccessToken { .. } => "token_type_not_allowed",
        jwt::Error::IssuerUnknown { .. } => "issuer_invalid",
        jwt::Error::KeysMissing { .. } => "keys_unavailable",
        jwt::Error::KeyUnknown { .. } | jwt::Error::KeyMismatch { .. } => "key_unknown",
        jwt::Error::SignatureInvalid { .. } => "signature_invalid",
        jwt::Error::ClaimType { .. } => "claim_malformed",
        jwt::Error::ClaimMissing { .. } => "claim_missing",
        jwt::Error::Expired { .. } => "token_expired",
        jwt::Error::NotYetValid { .. } => "token_not_yet_valid",
        jwt::Error::IssuedInFuture { .. } => "token_issued_in_future",
        jwt::Error::LifetimeTooLong { .. } => "lifetime_too_long",
        jwt::Error::AudienceInvalid { .. } => "audience_invalid",
        jwt::Error::SubjectNotAllowed { .. } => "subject_not_allowed",
    }
}

/// What the caller is told of a token: enough to get a better one, nothing of how it is verified.
pub(super) fn told(error: &jwt::Error) -> Told {
    match error {
        jwt::Error::Expired { .. } => Told::new("TOKEN_EXPIRED", "Token has expired"),
        jwt::Error::AudienceInvalid { .. } => Told::audience_invalid(),
        jwt::Error::IssuerUnknown { .. } => Told::new("ISSUER_INVALID", "Invalid token issuer"),
        jwt::Error::KeysMissing { .. } => Told::new("KEYS_UNAVAILABLE", "Unable to fetch signing keys"),
        jwt::Error::ClaimMissing { claim } => Told {
            reason: "CLAIM_MISSING",
            text: format!("Missing required claim: {claim}").into(),
        },
        jwt::Error::TooLong { .. }
        | jwt::Error::Malformed(_)
        | jwt::Error::Encrypted
        | jwt::Error::CriticalHeader
        | jwt::Error::UnencodedPayload
        | jwt::Error::AlgorithmNotAllowed { .. }
        | jwt::Error::TypeNotAllowed { .. }
        | jwt::Error::NotAnAccessToken { .. }
        | jwt::Error::KeyUnknown { .. }
        | jwt::Error::KeyMismatch { .. }
        | jwt::Error::SignatureInvalid { .. }
        | jwt::Error::ClaimType { .. }
        | jwt::Error::NotYetValid { .. }
        | jwt::Error::IssuedInFuture { .. }
        | jwt::Error::LifetimeTooLong { .. }
        | jwt::Error::SubjectNotAllowed { .. } => Told::credentials_invalid(),
    }
}
