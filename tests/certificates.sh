# For scripts that try mutual TLS, in the current directory: ca.pem, and what it signs.
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=authority -keyout ca.key -out ca.pem
}
# certificate NAME SUBJECT [DAYS]: NAME.pem and NAME.key for localhost.
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" &&
    printf 'subjectAltName=DNS:localhost\n' > ext &&
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "${3:-90}" -extfile ext -out "$1.pem"
}
