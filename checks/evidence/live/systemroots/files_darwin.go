package systemroots

// files is the bundle that macOS keeps for OpenSSL; the keychain itself can only be read through its frameworks.
var files = []string{"/etc/ssl/cert.pem"}
