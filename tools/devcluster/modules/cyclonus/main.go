// Command cyclonus answers who reaches whom under a set of NetworkPolicies, by the analyser of the project of that name: a second
// opinion beside our own. It reads {"policies": [...], "questions": [...]} and writes one boolean a question, in their order.
// Cyclonus' own command prints tables for people; this asks its library the same and answers programs.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Peer is somebody with an address; only a pod has a namespace.
type Peer struct {
	Address         string            `json:"address"`
	Namespace       string            `json:"namespace"`
	Labels          map[string]string `json:"labels"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
}

// Question is one connection.
type Question struct {
	Source   Peer   `json:"source"`
	Target   Peer   `json:"target"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
}

// Input is all that is asked at once.
type Input struct {
	Policies  []*networkingv1.NetworkPolicy `json:"policies"`
	Questions []Question                    `json:"questions"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cyclonus:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var asked Input
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return err
	}
	policy := matcher.BuildNetworkPolicies(false, asked.Policies)
	answers := make([]bool, 0, len(asked.Questions))
	for _, question := range asked.Questions {
		answers = append(answers, policy.IsTrafficAllowed(traffic(question)).IsAllowed())
	}
	return json.NewEncoder(out).Encode(answers)
}

func traffic(question Question) *matcher.Traffic {
	return &matcher.Traffic{
		Source:       peer(question.Source),
		Destination:  peer(question.Target),
		ResolvedPort: question.Port,
		Protocol:     corev1.Protocol(question.Protocol),
	}
}

func peer(of Peer) *matcher.TrafficPeer {
	found := &matcher.TrafficPeer{IP: of.Address}
	if of.Namespace != "" {
		found.Internal = &matcher.InternalPeer{
			PodLabels:       of.Labels,
			NamespaceLabels: of.NamespaceLabels,
			Namespace:       of.Namespace,
		}
	}
	return found
}
