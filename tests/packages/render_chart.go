// SPDX-License-Identifier: Apache-2.0
// Renders the chart with the template engine that Helm has. Arguments: the folder of templates; stdin: their data as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"text/template"
)

// YAML of a list or an object: a line for each member, with its value as JSON, which is YAML.
func toYaml(value interface{}) string {
	lines := []string{}
	switch members := value.(type) {
	case map[string]interface{}:
		if len(members) == 0 {
			return "{}"
		}
		for key, inner := range members {
			text, _ := json.Marshal(inner)
			lines = append(lines, strconv.Quote(key)+": "+string(text))
		}
		sort.Strings(lines)
	case []interface{}:
		if len(members) == 0 {
			return "[]"
		}
		for _, inner := range members {
			text, _ := json.Marshal(inner)
			lines = append(lines, "- "+string(text))
		}
	}
	return strings.Join(lines, "\n")
}

// What the chart uses of Helm, as Helm does it.
func main() {
	var data map[string]interface{}
	if err := json.NewDecoder(os.Stdin).Decode(&data); err != nil {
		panic(err)
	}
	functions := template.FuncMap{
		"toYaml": toYaml,
		"quote":  func(value interface{}) string { return strconv.Quote(fmt.Sprint(value)) },
		"nindent": func(spaces int, text string) string {
			pad := "\n" + strings.Repeat(" ", spaces)
			return pad + strings.ReplaceAll(text, "\n", pad)
		},
	}
	names, _ := filepath.Glob(filepath.Join(os.Args[1], "*"))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		made := template.Must(template.New(name).Option("missingkey=error").Funcs(functions).Parse(string(text)))
		if strings.HasSuffix(name, ".yaml") {
			fmt.Println("---")
			if err := made.Execute(os.Stdout, data); err != nil {
				panic(err)
			}
		}
	}
}
