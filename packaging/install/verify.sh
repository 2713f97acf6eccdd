#!/bin/sh
# Checks a Stillroom bundle: the signature over its list of files, then every file against the list.
#
#     sh verify.sh --key FILE [--signature | --files] [FOLDER]
#
# FILE is the public key of the builder, which must have come to you another way than the bundle. Without it, the
# line is printed that checks the signature by hand. Needs ssh-keygen of OpenSSH 8.1 or newer, and sha256sum.
set -eu
LC_ALL=C
export LC_ALL

list=SHA256SUMS
signer=stillroom-bundle
key='' unsigned='' checked='' signature=yes files=yes bundle='' part=$list

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit "${3:-1}"
}

printed_line() {
    printf "ssh-keygen -Y verify -f KEYFILE -I %s -n %s -s '%s' < '%s'" \
        "$signer" "$signer" "$bundle/$list.sig" "$bundle/$list"
}

# The key as ssh-keygen wants it: an allowed signers file, made from a plain public key where that was given. Another
# system may have put line ends of its own and a mark of the encoding into the file.
signers() {
    lines=$(tr -d '\r\357\273\277' <"$key")
    case $lines in
    ssh-* | ecdsa-* | sk-*) printf '%s namespaces="%s" %s\n' "$signer" "$signer" "$(printf '%s\n' "$lines" | head -n 1)" ;;
    *) printf '%s\n' "$lines" ;;
    esac
}

check_signature() {
    if [ ! -f "$bundle/$list.sig" ]; then
        [ -n "$unsigned" ] || fail "this bundle is NOT SIGNED: anybody may have made it" \
            "ask the builder for a signed one; --allow-unsigned takes it all the same"
        printf 'WARNING: this bundle is NOT SIGNED: anybody may have made it\n' >&2
        return 0
    fi
    if [ -n "$checked" ]; then
        printf 'signature: not checked here, --signature-checked says that you did\n' >&2
        return 0
    fi
    if [ -z "$key" ]; then
        fail "the signature needs the builder's public key, received another way than this bundle" \
            "give --key FILE; or check it by hand, then give --signature-checked: $(printed_line)" 2
    fi
    [ -f "$key" ] || fail "there is no key file $key" "name the file with the builder's public key" 2
    command -v ssh-keygen >/dev/null || fail "ssh-keygen is missing, so the signature cannot be checked" \
        "install the OpenSSH client, or check it on another machine, then give --signature-checked" 4
    # The list is read once more below: what was signed is what is compared.
    if said=$(signers | ssh-keygen -Y verify -f /dev/fd/3 -I "$signer" -n "$signer" -s "$bundle/$list.sig" \
        3<&0 <"$bundle/$list" 2>&1); then
        printf 'signature: %s\n' "$said" >&2
        return 0
    fi
    case $said in
    *"unknown option"* | *"illegal option"* | *usage:*)
        fail "this ssh-keygen is older than 8.1 and cannot check signatures" \
            "check it on another machine, then give --signature-checked" 4 ;;
    esac
    fail "the signature is not by the key in $key: $said" \
        "do not install this bundle; ask the builder which key is the right one"
}

# Every line a hash, two blanks and a plain relative path: nothing that reaches out of the folder.
check_list() {
    [ -f "$bundle/$list" ] || fail "$bundle holds no $list, so it is no bundle" "name the unpacked folder of the bundle" 2
    bad=$(grep -v -E '^[0-9a-f]{64}  [A-Za-z0-9_][A-Za-z0-9_.+/-]*$' "$bundle/$list" | head -n 1 || true)
    [ -z "$bad" ] || fail "$list holds a line that is no hash and path: $bad" "get the bundle again"
    if cut -c 67- "$bundle/$list" | grep -q -E '(^|/)\.\.?(/|$)|//'; then
        fail "$list names a path out of the bundle" "do not install this bundle"
    fi
}

check_files() {
    said=$(cd "$bundle" && sha256sum -c "$part" 2>&1 | grep -v ': OK$' | head -n 3 || true)
    [ -z "$said" ] || fail "files differ from the signed list: $said" "copy the bundle again; do not use this one"
    printf 'files: all %s as in the list\n' "$(wc -l <"$bundle/$part" | tr -d ' ')" >&2
}

while [ $# -gt 0 ]; do
    case $1 in
    --key) [ $# -ge 2 ] || fail "--key needs a file" "" 2; key=$2; shift ;;
    --signature) files='' ;;
    --files) signature='' ;;
    # The lines of the list that are about what was copied; install.sh makes it of the list whose signature it checked.
    --list) [ $# -ge 2 ] || fail "--list needs a file" "" 2; part=$2; shift ;;
    --allow-unsigned) unsigned=yes ;;
    --signature-checked) checked=yes ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) fail "no option is called $1" "sh verify.sh --help" 2 ;;
    *) bundle=$1 ;;
    esac
    shift
done
[ -n "$bundle" ] || bundle=$(dirname "$0")
bundle=$(cd "$bundle" && pwd) || fail "cannot enter the folder of the bundle" "name the unpacked folder" 2
check_list
[ -z "$signature" ] || check_signature
[ -z "$files" ] || check_files
