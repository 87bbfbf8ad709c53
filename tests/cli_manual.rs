//! What is made of the command line: help, manual pages, and completions that a real bash runs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use program::{Folder, misused, refused};

/// Every command, as `help` lists them.
fn commands(folder: &Folder, above: &[&str]) -> Vec<String> {
    let (status, help, _) = folder.run_unkept(&[above, &["--help"]].concat(), "", &[]);
    assert_eq!(status, 0);
    let Some((_, listed)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let listed = listed.lines().take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

/// All of them, with those below others: `totp`, `totp code`.
fn all(folder: &Folder) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut index = 0;
    while let Some(above) = all.get(index).cloned() {
        let names: Vec<&str> = above.iter().map(String::as_str).collect();
        for name in commands(folder, &names) {
            all.push([above.clone(), vec![name]].concat());
        }
        index += 1;
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

#[test]
fn every_command_helps() {
    let folder = Folder::new("cli-manual", "help");
    for command in all(&folder) {
        let names: Vec<&str> = command.iter().map(String::as_str).collect();
        let usage = format!("Usage: {}", [&["peergate"], &names[..]].concat().join(" "));
        let run = |more: &[&str]| folder.run_unkept(&[&names[..], more].concat(), "", &[]);
        let (short, long) = (run(&["-h"]), run(&["--help"]));
        for (status, help, errors) in [&short, &long] {
            assert_eq!((*status, errors.as_str()), (0, ""));
            assert!(help.contains(&usage), "{help}");
            assert!(!help.contains('\u{1b}'), "colours are for terminals");
        }
        // What it is about is one line, without a full stop, as those of others.
        let about = long.1.lines().next().unwrap();
        assert!(about.len() <= 90 && !about.ends_with('.'), "{about}");
        let is_leaf = !long.1.contains("\nCommands:\n");
        assert!(
            !is_leaf || long.1.contains("\nExamples:\n"),
            "{names:?} has no examples"
        );
        // Longer lines would be broken, in the middle of an example.
        let examples = long
            .1
            .split_once("\nExamples:\n")
            .map_or("", |(_, examples)| examples);
        for line in examples.lines() {
            assert!(line.len() <= 80, "{line}");
        }
        assert_eq!(run(&["-V"]).0, 0);
        let helped = folder.run_unkept(&[&["help"], &names[..]].concat(), "", &[]);
        assert_eq!(helped, long);
    }
}

#[test]
fn misspelt_commands() {
    let folder = Folder::new("cli-manual", "misspelt");
    for (arguments, tip) in [
        (&["chek"][..], "'check'"),
        (&["totp", "cod"], "'code'"),
        (&["check", "--deny-hint", "a"], "'--deny-hints'"),
        (&["completions", "bsh"], "'bash'"),
    ] {
        let (status, output, errors) = folder.run(arguments, "", &[]);
        assert_eq!((status, output.as_str()), (2, ""));
        assert!(
            errors.starts_with("error: ") && errors.contains("  tip: ") && errors.contains(tip),
            "{errors}"
        );
        assert!(!errors.contains('\u{1b}'));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_is_full_or_that_nobody_reads() {
    let run = |output: Stdio| {
        let command = Command::new(env!("CARGO_BIN_EXE_peergate"))
            .args(["hash-key", "--new", "--prefix", "full-"])
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn();
        let seen = command.unwrap().wait_with_output().unwrap();
        (seen.status.code(), String::from_utf8(seen.stderr).unwrap())
    };
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (status, errors) = run(full.into());
    assert_eq!(status, Some(1));
    assert!(errors.ends_with("\nerror: the standard output: No space left on device (os error 28)\n"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (status, errors) = run(writer.into());
    assert_eq!((status, errors.lines().count()), (Some(0), 1));
}

/// Runs what stands in `$1`, if such a program is there.
fn try_run(program: &str, arguments: &[&str], folder: &Folder) -> Option<(bool, String)> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder.path())
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

#[test]
fn manual_pages() {
    let folder = Folder::new("cli-manual", "man");
    let commands = all(&folder);
    let (status, output, errors) = folder.run(&["man", "--dir", "pages/man1"], "", &[]);
    assert_eq!((status, output.as_str()), (0, ""));
    assert_eq!(
        errors,
        format!("{} pages written to pages/man1\n", commands.len())
    );
    let pages: BTreeSet<String> = fs::read_dir(folder.path().join("pages/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for command in commands {
        let names: Vec<&str> = command.iter().map(String::as_str).collect();
        let name = [&["peergate"], &names[..]].concat().join("-");
        let file = format!("{name}.1");
        assert!(pages.contains(&file), "{file}");
        let (status, page, _) = folder.run_unkept(&[&["man"], &names[..]].concat(), "", &[]);
        assert_eq!(status, 0);
        assert_eq!(page, folder.read(&format!("pages/man1/{file}")));
        assert_well_formed(&name, &page);
        let file = format!("pages/man1/{file}");
        if let Some((is_good, said)) = try_run("mandoc", &["-Tlint", "-Wwarning", &file], &folder) {
            assert!(is_good, "{said}");
        }
        if let Some((is_good, said)) = try_run(
            "man",
            &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", &file],
            &folder,
        ) {
            assert!(is_good && !said.contains("warning:"), "{said}");
        }
    }
    assert_eq!(
        folder.run(&["man", "totp", "cod"], "", &[]),
        misused("error: there is no command `cod`\n  help: `peergate help` lists them\n")
    );
    folder.write("file", "");
    assert_eq!(
        folder.run(&["man", "--dir", "file"], "", &[]),
        refused("error: file: File exists (os error 17)\n")
    );
}

/// What holds of a page wherever no program is there to look at it.
fn assert_well_formed(name: &str, page: &str) {
    let sections: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".SH "))
        .collect();
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
        assert!(sections.contains(&section), "{name}: {sections:?}");
    }
    assert!(page.contains(&format!(".TH {name} 1")), "{name}");
    for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
        let macros = [
            ".ie", ".el", ".TH", ".SH", ".TP", ".br", ".RS", ".RE", ".IP", ".PP",
        ];
        assert!(
            macros.iter().any(|known| line.starts_with(known)),
            "{name}: {line}"
        );
    }
}

/// What a bash that has read the script offers behind these words, of which the last is not complete.
fn completed(folder: &Folder, words: &[&str]) -> BTreeSet<String> {
    let script = format!(
        "source ./peergate.bash
        complete -p peergate > /dev/null || exit 1
        COMP_WORDS=({}) COMP_CWORD={}
        COMP_LINE=\"${{COMP_WORDS[*]}}\" COMP_POINT=${{#COMP_LINE}}
        _peergate peergate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"
        printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
        words.len() - 1
    );
    let (is_good, said) = try_run("bash", &["-uc", &script], folder).unwrap();
    assert!(is_good, "{said}");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    let folder = Folder::new("cli-manual", "bash");
    let (status, script, errors) = folder.run_unkept(&["completions", "bash"], "", &[]);
    assert_eq!((status, errors.as_str()), (0, ""));
    folder.write("peergate.bash", script);
    let set = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<BTreeSet<_>>()
    };
    for command in all(&folder) {
        let Some((last, above)) = command.split_last() else {
            continue;
        };
        let start = last.get(..last.len() - 1).unwrap();
        let words: Vec<&str> = ["peergate"]
            .into_iter()
            .chain(above.iter().map(String::as_str))
            .collect();
        assert!(
            completed(&folder, &[&words[..], &[start]].concat()).contains(last),
            "{command:?}"
        );
    }
    assert_eq!(completed(&folder, &["peergate", "hash"]), set(&["hash-key"]));
    assert_eq!(
        completed(&folder, &["peergate", "check", "--deny"]),
        set(&["--deny-hints"])
    );
    assert_eq!(
        completed(&folder, &["peergate", "totp", "code", "--algorithm", "SHA"]),
        set(&["SHA1", "SHA256", "SHA512"])
    );
    // Files, where files are meant: bash's own completion where there is nothing else.
    folder.write("policy.yaml", "");
    assert_eq!(
        completed(&folder, &["peergate", "token", "--key", "pol"]),
        set(&["policy.yaml"])
    );
    assert_eq!(completed(&folder, &["peergate", "check", "pol"]), set(&[""]));
    let registered = try_run(
        "bash",
        &["-uc", "source ./peergate.bash; complete -p peergate"],
        &folder,
    );
    assert!(registered.unwrap().1.contains("-o default"));
}

#[test]
fn other_shells_have_completions() {
    let folder = Folder::new("cli-manual", "shells");
    for (shell, start) in [
        ("zsh", "#compdef peergate"),
        ("fish", "# Print an optspec"),
        ("elvish", "\nuse builtin"),
        ("powershell", "\nusing namespace"),
    ] {
        let (status, script, errors) = folder.run_unkept(&["completions", shell], "", &[]);
        assert_eq!((status, errors.as_str()), (0, ""));
        assert!(script.starts_with(start), "{script:.100}");
        assert!(script.contains("hash-key"));
        folder.write(shell, &script);
        if let Some((is_good, said)) = try_run(shell, &["-n", shell], &folder) {
            assert!(is_good, "{said}");
        }
    }
}
