//go:build !race

package live

const manyUsers = 100_000
