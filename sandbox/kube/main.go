// Command kube is etcd, kube-apiserver and kube-controller-manager in one binary, so that the
// sandbox links the Kubernetes libraries once. The first argument names the part to run, the
// others are that part's own flags.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usageExitCode = 2

func main() {
	if len(os.Args) < 2 {
		refuse("no part named")
	}
	if os.Getenv("BROKKR_EXIT_WITH_PARENT") == "1" {
		go exitWithParent()
	}
	part := os.Args[1]
	// The parts read os.Args themselves, as if each were the whole program.
	os.Args = os.Args[1:]
	switch part {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		run(controllers.NewControllerManagerCommand())
	default:
		refuse(fmt.Sprintf("unknown part %q", part))
	}
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

// exitWithParent ends the process when standard input closes. The parent holds the other end of
// that pipe, and the kernel closes it even when the parent dies without a chance to clean up.
func exitWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

func refuse(problem string) {
	fmt.Fprintf(os.Stderr, "kube: %s; usage: kube etcd|kube-apiserver|kube-controller-manager [flags]\n", problem)
	os.Exit(usageExitCode)
}
