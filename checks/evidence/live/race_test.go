//go:build race

package live

// manyUsers is less with the race detector, under which the LDAP library takes a minute for all of them.
const manyUsers = 10_000
