// Command kubectl-yaml reads YAML documents as kubectl does. Standard input is a JSON array of texts; standard output is a JSON array of
// what each becomes: its JSON, or null where the reader refuses it.
package main

import (
	"encoding/json"
	"log"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	var documents []string
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		log.Fatal(err)
	}
	answers := make([]*string, len(documents))
	for at, document := range documents {
		if read, err := yaml.YAMLToJSON([]byte(document)); err == nil {
			text := string(read)
			answers[at] = &text
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}
