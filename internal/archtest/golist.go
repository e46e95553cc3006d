package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
)

// Linked returns the import paths of all packages that a program importing the
// given folders would link, tests apart.
func Linked(root string, dirs ...string) ([]string, error) {
	listed, err := goList(root, false, dirs)
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(listed))
	for i, l := range listed {
		paths[i] = l.ImportPath
	}
	return paths, nil
}

// Engines picks the storage engines' packages from a list of import paths.
func Engines(importPaths []string) []string {
	var found []string
	for _, p := range importPaths {
		if engineHome(p) != "" {
			found = append(found, p)
		}
	}
	return found
}

// Types returns the type-checked exported API of the package in each folder, in
// the order of dirs. It compiles what is not in the build cache.
func (m *Module) Types(root string, dirs ...string) ([]*types.Package, error) {
	listed, err := goList(root, true, dirs)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, l := range listed {
		exports[l.ImportPath] = l.Export
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(importPath string) (io.ReadCloser, error) {
		file := exports[importPath]
		if file == "" {
			return nil, fmt.Errorf("archtest: no export data for %s", importPath)
		}
		return os.Open(file)
	})
	pkgs := make([]*types.Package, len(dirs))
	for i, dir := range dirs {
		if pkgs[i], err = imp.Import(m.Path + "/" + dir); err != nil {
			return nil, err
		}
	}
	return pkgs, nil
}

type listedPackage struct {
	ImportPath string
	Export     string // file with export data
}

// goList asks the go command for the given folders and all that they import.
func goList(root string, export bool, dirs []string) ([]listedPackage, error) {
	args := []string{"list", "-deps", "-json=ImportPath,Export"}
	if export {
		args = append(args, "-export")
	}
	for _, dir := range dirs {
		args = append(args, "./"+dir)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("archtest: go list: %w\n%s", err, stderr.Bytes())
	}
	var listed []listedPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listedPackage
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return listed, nil
		} else if err != nil {
			return nil, fmt.Errorf("archtest: go list: %w", err)
		}
		listed = append(listed, l)
	}
}
