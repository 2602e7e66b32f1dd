package facts

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

// Removed stands in the place of a secret that was taken out of a file.
const Removed = "(removed)"

var (
	// secretAttribute is an attribute of XML whose name says that it holds a secret: password of a process model or a virtual
	// directory, WAMUserPass, UNCPassword, sessionKey of the provider that encrypts them, machine keys, a connection string. The
	// value may break off at the end of what was read.
	secretAttribute = regexp.MustCompile(`(?is)([\w.:-]*(?:password|pwd|userpass|secret|sessionkey|validationkey|decryptionkey|connectionstring)[\w.:-]*\s*=\s*)("[^"]*(?:"|$)|'[^']*(?:'|$))`)
	// secretSetting is such a thing as the value of a setting, <add key="Password" value="..." />, and settingSecret one whose value comes first.
	secretSetting = regexp.MustCompile(`(?is)((?:key|name)\s*=\s*["'][^"'<>]*(?:password|pwd|secret)[^"'<>]*["'][^<>]*?\svalue\s*=\s*)("[^"]*(?:"|$)|'[^']*(?:'|$))`)
	settingSecret = regexp.MustCompile(`(?is)(\svalue\s*=\s*)("[^"]*"|'[^']*')([^<>]*\s(?:key|name)\s*=\s*["'][^"'<>]*(?:password|pwd|secret))`)
	// securedValue is the value of a property that a metabase marks as secured, whatever its name; the mark may stand on either side.
	securedBefore = regexp.MustCompile(`(?is)(\svalue\s*=\s*)("[^"]*(?:"|$)|'[^']*(?:'|$))([^<>]*\battributes\s*=\s*["'][^"']*\bsecure\b)`)
	securedAfter  = regexp.MustCompile(`(?is)(\battributes\s*=\s*["'][^"']*\bsecure\b[^<>]*?\svalue\s*=\s*)("[^"]*(?:"|$)|'[^']*(?:'|$))`)
	// encrypted is a value that IIS encrypted, wherever it stands.
	encrypted = regexp.MustCompile(`(?is)\[enc:.*?(?::enc\]|"|'|$)`)
	// secretOption is a password in a command of a log: "lcscmd ... /password:x".
	secretOption = regexp.MustCompile(`(?i)([/-]\w*(?:password|pwd)\w*[:= ]\s*)("[^"\r\n]*"?|[^\s"<]+)`)
)

// RedactFile takes the secrets out of a file of a server before anything else sees it: what a source gives as [File] has gone through
// here. The name tells what the file is. A configuration in XML (.config, .xml) loses the values that hold passwords and keys, encrypted
// ones too, since the key may stand on the same server; a log (.log, .txt, .htm, .html) the passwords of commands. Any other file stays as it is.
// XML and logs in UTF-16 come out in UTF-8.
func RedactFile(name string, content []byte) []byte {
	kind := strings.ToLower(path.Ext(strings.ReplaceAll(name, `\`, "/")))
	switch kind {
	case ".config", ".xml":
		content = plainText(content)
		for _, secret := range []*regexp.Regexp{secretAttribute, secretSetting, securedAfter} {
			content = secret.ReplaceAll(content, []byte(`${1}"`+Removed+`"`))
		}
		for _, secret := range []*regexp.Regexp{settingSecret, securedBefore} {
			content = secret.ReplaceAll(content, []byte(`${1}"`+Removed+`"${3}`))
		}
		return encrypted.ReplaceAllFunc(content, func(found []byte) []byte {
			if last := found[len(found)-1]; last == '"' || last == '\'' { // it breaks off; the quote ends the attribute
				return append([]byte(Removed), last)
			}
			return []byte(Removed)
		})
	case ".log", ".txt", ".htm", ".html":
		return secretOption.ReplaceAll(plainText(content), []byte(`${1}`+Removed))
	}
	return content
}

// plainText is text in UTF-16, which a byte order mark or the zero of its first sign gives away, in UTF-8; other text as it is.
func plainText(b []byte) []byte {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		return []byte(UTF16(b[2:]))
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		return []byte(UTF16(swapped(b[2:])))
	case len(b) > 1 && b[0] != 0 && b[1] == 0:
		return []byte(UTF16(b))
	case len(b) > 1 && b[0] == 0 && b[1] != 0:
		return []byte(UTF16(swapped(b)))
	}
	return b
}

// swapped is big-endian UTF-16 in little endian.
func swapped(b []byte) []byte {
	out := bytes.Clone(b[:len(b)/2*2])
	for i := 0; i < len(out); i += 2 {
		out[i], out[i+1] = out[i+1], out[i]
	}
	return out
}
