package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type pkg struct {
	ImportPath, Dir        string
	GoFiles, Imports, Deps []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "ocsdoctor/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, "ocsdoctor/")
		list = append(list, p)
	}
	if len(list) < 15 {
		t.Fatalf("go list names only %d packages", len(list))
	}
	return list
}

// room is the part of the house a package belongs to.
func room(path string) string {
	switch {
	case strings.HasPrefix(path, "cmd/"):
		return "cmd"
	case strings.HasPrefix(path, "checks/evidence/live"):
		return "live"
	case path == "fixtures/lab", path == "fixtures/real", path == "fixtures", path == "report":
		return path
	case slices.Contains([]string{"checks/ad", "checks/account", "checks/dns", "checks/net", "checks/pki", "checks/iis",
		"checks/signin", "checks/setup", "checks/patch", "checks/service", "checks/host"}, path):
		return "family"
	}
	return path
}

// arrows says which rooms a room may import.
var arrows = map[string][]string{
	"cmd": {"report", "checks/engine", "checks/policy", "checks/all", "checks/knowledge", "checks", "checks/evidence", "checks/evidence/facts",
		"live", "checks/evidence/bundle", "checks/evidence/hostdump", "fixtures/lab"},
	"report":                    {"checks/engine", "checks/policy", "checks", "checks/evidence", "checks/evidence/facts"},
	"checks/policy":             {"checks/engine", "checks"},
	"checks/engine":             {"checks", "checks/evidence", "checks/evidence/facts"},
	"checks/all":                {"family", "checks", "checks/evidence/facts"},
	"checks/knowledge":          {},
	"checks/checktest/newcheck": {},
	"checks/checktest":          {"checks/engine", "checks", "checks/evidence", "checks/evidence/facts", "checks/evidence/hostdump", "checks/evidence/ntds"},
	"family":                    {"checks", "checks/evidence", "checks/evidence/facts", "checks/evidence/certs", "checks/evidence/ntds"},
	"checks":                    {"checks/evidence"},
	"checks/evidence":           {},
	"checks/evidence/facts":     {"checks/evidence", "checks/evidence/ntds"},
	"checks/evidence/ntds":      {},
	"checks/evidence/sipauth":   {},
	"checks/evidence/certs":     {"checks/evidence/facts"},
	"live":                      {"live", "checks/evidence", "checks/evidence/facts", "checks/evidence/certs", "checks/evidence/ntds", "checks/evidence/sipauth"},
	"checks/evidence/bundle":    {"checks/evidence"},
	"checks/evidence/hostdump":  {"checks/evidence", "checks/evidence/facts"},
	"fixtures/lab":              {"fixtures", "checks/evidence/facts", "checks/evidence/ntds", "checks/evidence/sipauth"},
	"fixtures":                  {},
	"fixtures/real":             {"checks/evidence/sipauth"},
}

func TestImportArrows(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		allowed, known := arrows[from]
		if !known {
			t.Errorf("%s: the design has no such package", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			imp, own := strings.CutPrefix(imp, "ocsdoctor/")
			if !own {
				continue
			}
			if !slices.Contains(allowed, room(imp)) {
				t.Errorf("%s imports %s: no arrow leads there", p.ImportPath, imp)
			}
			if room(imp) == "checks/evidence/certs" && from == "family" && p.ImportPath != "checks/pki" {
				t.Errorf("%s reads certificates: of the families only checks/pki may", p.ImportPath)
			}
		}
	}
}

// A family cannot dial even by way of another package.
func TestFamiliesCannotReachTheNetwork(t *testing.T) {
	t.Parallel()
	families := 0
	for _, p := range packages(t) {
		if room(p.ImportPath) != "family" {
			continue
		}
		families++
		for _, dep := range p.Deps {
			forbidden := dep == "crypto/tls" || dep == "net" && p.ImportPath != "checks/pki" ||
				strings.HasPrefix(dep, "github.com/miekg/dns") || strings.HasPrefix(dep, "github.com/go-ldap/")
			if forbidden {
				t.Errorf("%s depends on %s", p.ImportPath, dep)
			}
		}
	}
	if families < 6 {
		t.Errorf("only %d families were looked at", families)
	}
}

// A check is a function of facts: no clock, no environment, no init.
func TestFamiliesReadNoClockAndNoEnvironment(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if room(p.ImportPath) != "family" {
			continue
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ImportSpec:
					if n.Path.Value == `"os"` {
						t.Errorf("%s/%s imports os", p.ImportPath, name)
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "Until") {
						t.Errorf("%s/%s uses time.%s", p.ImportPath, name, n.Sel.Name)
					}
				case *ast.FuncDecl:
					if n.Name.Name == "init" && n.Recv == nil {
						t.Errorf("%s/%s has an init function", p.ImportPath, name)
					}
				}
				return true
			})
		}
	}
}
