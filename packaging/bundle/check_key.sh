#!/bin/sh
# Says whether FILE can sign a bundle, before minutes of work are spent on one; nobody is asked for anything.
#
#     packaging/bundle/check_key.sh FILE
#
# FILE is an OpenSSH private key, or the public half of one that an agent holds.
set -eu
LC_ALL=C
export LC_ALL
unset SSH_ASKPASS

[ $# -eq 1 ] && [ -n "$1" ] || { echo "usage: $0 FILE" >&2; exit 2; }
case $1 in '~/'*) key=${HOME:-}/${1#'~/'} ;; -*) key=./$1 ;; *) key=$1 ;; esac

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

[ -e "$key" ] || fail "there is no key $key" "KEY=FILE names an OpenSSH key; \`ssh-keygen -t ed25519 -f FILE\` makes one"
[ -f "$key" ] || fail "the key $key is no file" "KEY=FILE names the file of an OpenSSH private key"
[ -r "$key" ] || fail "the key $key cannot be read by $(id -un)" "check whose file it is"
command -v ssh-keygen >/dev/null || fail "ssh-keygen is missing, so nothing can be signed" "install the OpenSSH client"

first=$(head -c 4096 "$key" | tr -d '\0\r' | head -n 1)
case $first in
*-cert-v01@openssh.com\ *) fail "$key is a certificate, which signs no bundle" "name the private key that it is for" ;;
ssh-*\ * | ecdsa-*\ * | sk-*\ *)
    ssh-keygen -l -f "$key" >/dev/null 2>&1 || fail "the public key in $key is damaged" "copy it again"
    blob=$(printf '%s\n' "$first" | cut -d ' ' -f 2)
    ssh-add -L 2>/dev/null | grep -q -F -- "$blob" ||
        fail "$key is a public key, and no agent holds its private half" "name the private key, or \`ssh-add\` it first"
    exit 0 ;;
esac
# One that needs a passphrase is of the right kind all the same: ssh-keygen asks for it when it signs.
if reason=$(ssh-keygen -y -P '' -f "$key" 2>&1 >/dev/null </dev/null); then
    # An empty text for another purpose: what signs this signs a bundle.
    reason=$(ssh-keygen -Y sign -f "$key" -n stillroom-key-check 2>&1 >/dev/null </dev/null) && exit 0
fi
case $reason in
*passphrase*) exit 0 ;;
*"too open"* | *"bad permissions"*)
    fail "others can read the private key $key, so ssh-keygen does not use it" "chmod 600 '$key'" ;;
esac
fail "$key is no OpenSSH key: $(printf '%s' "$reason" | tail -n 1)" \
    "KEY=FILE names an OpenSSH private key, no PGP key, PEM certificate or PuTTY file"
