# For the scripts here: functions that ask the node at $url, and sign with the key in $pem.

# A method, its parameters in JSON on standard input: the result, or the error's text and status 5.
call() {
  jq --arg method "$1" '{jsonrpc: "2.0", id: 1, $method, params: .}' |
    curl -sS -H 'content-type: application/json' -d @- "$url" |
    jq 'if .error then error("\(.error.message): \(.error.data)") else .result end'
}

# Bytes as hex digits.
hex() { od -An -v -tx1 | tr -d ' \n'; }

# The public key's 32 bytes.
public_key() { openssl pkey -in "$pem" -pubout -outform DER | tail -c 32; }

# The signature over the bytes of a file, as hex digits.
sign() { openssl pkeyutl -sign -rawin -inkey "$pem" -in "$1" | hex; }
