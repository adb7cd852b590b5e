// Command certmanager runs cert-manager's own controllers (issuing, renewal, approval, CA, self-signed, ACME) as one
// process, built from the library module: cert-manager's command is in nested modules that are not published.
// There is no leader election (one process) and no webhook (the CRDs carry the schema).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

const workers = 2 // per controller

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file")
	namespace := flag.String("cluster-resource-namespace", "cert-manager", "where ClusterIssuers keep their Secrets")
	nameservers := flag.String("dns01-recursive-nameservers", "", "comma-separated host:port, asked whether a challenge is visible")
	listen := flag.String("listen", "127.0.0.1:9402", "address of /livez and /metrics")
	flag.Parse()
	if *kubeconfig == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "certmanager: -kubeconfig is required, and no other arguments are taken")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, options(*kubeconfig, *namespace, *nameservers), *listen); err != nil {
		fmt.Fprintln(os.Stderr, "certmanager:", err)
		os.Exit(1)
	}
}

func options(kubeconfig, namespace, nameservers string) controller.ContextOptions {
	opts := controller.ContextOptions{
		Kubeconfig:         kubeconfig,
		KubernetesAPIQPS:   50,
		KubernetesAPIBurst: 100,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: namespace},
		SchedulerOptions:   controller.SchedulerOptions{MaxConcurrentChallenges: 20},
		// a developer does not wait an hour for the second attempt, as the default would have it
		CertificateOptions: controller.CertificateOptions{
			CertificateRequestMinimumBackoffDuration: 10 * time.Second,
			CertificateRequestMaximumBackoffDuration: time.Hour,
		},
	}
	opts.ACMEOptions.DNS01CheckRetryPeriod = time.Second
	if nameservers != "" {
		opts.ACMEOptions.DNS01Nameservers = strings.Split(nameservers, ",")
	}
	return opts
}

// run starts every registered controller and returns when the context ends, or the first of them fails.
func run(ctx context.Context, opts controller.ContextOptions, listen string) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	factory, err := controller.NewContextFactory(ctx, opts)
	if err != nil {
		return fmt.Errorf("cannot reach the API server: %w", err)
	}
	root, err := factory.Build()
	if err != nil {
		return err
	}
	var names []string
	var group sync.WaitGroup
	for name, construct := range controller.Known() {
		runnable, err := construct(factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		names = append(names, name)
		group.Go(func() {
			if err := runnable.Run(workers, ctx); err != nil {
				fail(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := root.Metrics.NewServer(listener)
	server.Handler = withLivez(server.Handler)
	group.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fail(err)
		}
	})
	root.SharedInformerFactory.Start(ctx.Done())
	root.KubeSharedInformerFactory.Start(ctx.Done())
	root.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	slices.Sort(names)
	fmt.Fprintln(os.Stderr, "certmanager: started", strings.Join(names, ", "))
	<-ctx.Done()
	shutdown, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = server.Shutdown(shutdown) // a scraper that holds on is no reason to report failure
	group.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func withLivez(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", metrics)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}
