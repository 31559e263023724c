#!/usr/bin/env bash
# Everything that has to hold: formatting, lints, documentation, all tests on all backends, and
# that examples, benchmarks and fuzz targets build. Works on a fresh Debian or Ubuntu that has
# Rust, as root or with sudo; needs the network for cargo and apt only.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never} DEBIAN_FRONTEND=noninteractive

current='the start'
begun=$SECONDS
trap 'status=$?; if ((status)); then echo "test.sh: FAILED at: $current" >&2; fi' EXIT

step() {
    current=$*
    printf '\n== %4d s  %s\n' $((SECONDS - begun)) "$current"
    "$@"
}

have() { command -v "$1" >/dev/null; }

have_any() {
    local name
    for name; do if have "$name"; then return; fi; done
    return 1
}

complain() {
    echo "test.sh: $*" >&2
    exit 1
}

apt() {
    if ((EUID == 0)); then apt-get "$@"; else sudo --preserve-env=DEBIAN_FRONTEND apt-get "$@"; fi
}

# The cryptography of tokens needs a C compiler, fuzz targets one for C++. The tests run curl, and
# Chromium with its driver.
install_packages() {
    local missing=()
    have cc && have c++ || missing+=(g++)
    have curl || missing+=(curl)
    have_any chromium chromium-browser google-chrome google-chrome-stable || missing+=(chromium)
    have chromedriver || missing+=(chromium-driver)
    if ((${#missing[@]} == 0)); then
        echo 'nothing is missing'
        return
    fi
    have apt-get || complain "please install ${missing[*]}: there is no apt-get here"
    if ((EUID != 0)); then
        have sudo || complain "please install ${missing[*]}, or run this as root: there is no sudo here"
    fi
    if [[ $(. /etc/os-release && echo "${ID:-}") == ubuntu && " ${missing[*]} " == *chromium* ]]; then
        complain 'Ubuntu has Chromium only as a snap. Please install it, or Google Chrome, and the' \
            'chromedriver of the same version so that both are in PATH, and run this again.'
    fi
    apt update -q
    apt install -qy --no-install-recommends "${missing[@]}"
}

# A minimal installation of Rust lacks them.
install_components() {
    if cargo fmt --version && cargo clippy --version; then return; fi
    have rustup || complain 'please install rustfmt and clippy: there is no rustup here'
    rustup component add rustfmt clippy
}

clippy() { cargo clippy --locked "$@" -- -D warnings; }

# Combinations of features that `--all-features` hides mistakes in.
library_with_features() {
    clippy --package fanfare --lib --no-default-features --features "$1"
}

# What the README says is documented has to be there.
documentation_links() {
    local link page missing=0
    local pages="${CARGO_TARGET_DIR:-target}/doc/fanfare"
    while read -r link; do
        page=${link%%#*}
        [[ -z $page ]] && page=index.html
        if [[ ! -f $pages/$page ]] || { [[ $link == *#* ]] && ! grep -q "id=\"${link#*#}\"" "$pages/$page"; }; then
            echo "README.md links to $link, which is not there" >&2
            missing=1
        fi
    done < <(grep -o 'docs\.rs/fanfare/latest/fanfare/[^)]*' README.md | cut -d/ -f5-)
    while read -r page; do
        if [[ ! -e $page ]]; then
            echo "README.md links to $page, which is not there" >&2
            missing=1
        fi
    done < <(grep -oE '\]\([^):#]+[)#]' README.md | sed 's/^](//; s/.$//')
    return $missing
}

# A workspace of its own, with the other's target directory so that dependencies are built once.
fuzz_targets() {
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    clippy --manifest-path fuzz/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" --all-targets
    if have cargo-fuzz && cargo +nightly --version >/dev/null 2>&1; then
        cargo +nightly fuzz build
    else
        echo 'not built with instrumentation: that needs cargo-fuzz and a nightly compiler'
    fi
}

broker_tests_on() { FANFARE_TEST_STORAGE=$1 cargo test --locked --all-features --test broker; }

have cargo || complain 'please install Rust first (https://rustup.rs)'
step install_packages
step cargo --version
step install_components
step cargo fmt --all --check
step clippy --workspace --all-targets --all-features
step library_with_features ''
step library_with_features redb
step library_with_features sled
step library_with_features tower
step env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --all-features --no-deps
step documentation_links
step cargo test --locked --workspace --all-features
step broker_tests_on redb
step broker_tests_on sled
step cargo check --locked --examples --benches
step fuzz_targets
current='the end'
printf '\ntest.sh: all passed, in %d s\n' $((SECONDS - begun))
