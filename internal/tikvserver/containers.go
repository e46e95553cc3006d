package tikvserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/tito-db/tito-go/internal/tikvcluster/standin"
)

// The original images.
const (
	defaultPDImage   = "pingcap/pd:v8.5.0"
	defaultTiKVImage = "pingcap/tikv:v8.5.0"
)

// label marks the containers, so that whoever runs the tests can remove what a
// test process that died left behind. Its value is that of TITO_TIKV_LABEL.
const label = "tito.tikvserver"

// startContainers starts a cluster in Docker. The error is errNone if no engine
// answers, or if it has not got the images and cannot get them.
func startContainers(ctx context.Context, logf func(string, ...any)) (*Cluster, error) {
	docker, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: no Docker engine answers: %w", errNone, err)
	}
	pdImage := cmp.Or(os.Getenv(envPDImage), defaultPDImage)
	tikvImage := cmp.Or(os.Getenv(envImage), defaultTiKVImage)
	if err := images(ctx, docker, logf, pdImage, tikvImage); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errNone, err), docker.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := runContainers(ctx, docker, pdImage, tikvImage)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("containers of %s and %s: %w", pdImage, tikvImage, err), docker.Close())
	}
	return c, nil
}

// connect returns a client of an engine that answers.
func connect(ctx context.Context) (*client.Client, error) {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := docker.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return docker.Client, nil
}

// images pulls the images that the engine has not got, and the one that
// testcontainers uses to remove what a dead process leaves behind.
func images(ctx context.Context, docker *client.Client, logf func(string, ...any), names ...string) error {
	if !testcontainers.ReadConfig().Config.RyukDisabled {
		names = append(names, testcontainers.ReaperDefaultImage) //nolint:staticcheck // nothing else tells the name
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	for _, name := range names {
		if _, err := docker.ImageInspect(ctx, name); err == nil {
			continue
		}
		logf("tikvserver: pulling %s", name)
		if err := pull(ctx, docker, name); err != nil {
			return fmt.Errorf("the Docker engine has no image %s and cannot pull it: %w", name, err)
		}
	}
	return nil
}

func pull(ctx context.Context, docker *client.Client, name string) error {
	progress, err := docker.ImagePull(ctx, name, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	return errors.Join(progress.Wait(ctx), progress.Close())
}

// runContainers starts three containers: PD, TiKV, and one that holds the network
// which both are in, with its ports published. So addresses are the same inside
// and outside, and stay when PD or TiKV is killed. The holder has to do something,
// and all that is known of the images is that one runs PD: it is a PD that nobody
// talks to.
func runContainers(ctx context.Context, docker *client.Client, pdImage, tikvImage string) (*Cluster, error) {
	ports, err := standin.FreePorts(5)
	if err != nil {
		return nil, err
	}
	layout := standin.Layout{
		Listen: "0.0.0.0", PDPort: ports.Numbers[0], PeerPort: ports.Numbers[1], TiKVPort: ports.Numbers[2],
		PDData: "/tmp/tito-pd", TiKVData: "/tmp/tito-tikv", Level: "warn",
	}
	idle := standin.Local("/tmp/tito-holder", ports.Numbers[3], ports.Numbers[4], 0)
	idle.Level = "error"

	c := &Cluster{
		kind: Containers,
		what: fmt.Sprintf("containers of %s and %s", pdImage, tikvImage),
		pd:   []string{layout.PD()},
	}
	var started []*testcontainers.DockerContainer
	c.close = func(ctx context.Context) error {
		var errs []error
		for _, one := range started {
			errs = append(errs, remove(ctx, docker, one))
		}
		return errors.Join(append(errs, docker.Close(), ports.Release())...)
	}
	run := func(image string, cmd []string, more ...testcontainers.ContainerCustomizer) (*testcontainers.DockerContainer, error) {
		one, err := testcontainers.Run(ctx, image, append(more,
			testcontainers.WithCmd(cmd...),
			testcontainers.WithLabels(map[string]string{label: os.Getenv(envLabel)}),
			testcontainers.WithLogger(silent{}),
		)...)
		if one != nil {
			started = append([]*testcontainers.DockerContainer{one}, started...) // the holder goes last
		}
		return one, err
	}
	fail := func(what string, err error) (*Cluster, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", what, err, c.output(ctx)), c.end(ctx))
	}

	holder, err := run(pdImage, idle.PDArgs(), publish(layout.PDPort, layout.TiKVPort))
	if err != nil {
		return fail("the holder of the network", err)
	}
	within := testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
		h.NetworkMode = container.NetworkMode("container:" + holder.GetContainerID())
	})
	pd, err := run(pdImage, layout.PDArgs(), within)
	if pd != nil {
		c.nodes[PD] = &dockerNode{docker, pd.GetContainerID()}
	}
	if err != nil {
		return fail("PD", err)
	}
	// TiKV gives up soon if PD does not answer.
	if err := retry(ctx, func(ctx context.Context) error { return c.ask(ctx, "members", &struct{}{}) }); err != nil {
		return fail("PD", err)
	}
	tikv, err := run(tikvImage, layout.TiKVArgs(), within)
	if tikv != nil {
		c.nodes[TiKV] = &dockerNode{docker, tikv.GetContainerID()}
	}
	if err != nil {
		return fail("TiKV", err)
	}
	return c.begin(ctx)
}

// publish makes ports of the container the same ports of this machine.
func publish(ports ...int) testcontainers.CustomizeRequestOption {
	return func(req *testcontainers.GenericContainerRequest) error {
		bindings := network.PortMap{}
		for _, port := range ports {
			name := strconv.Itoa(port)
			req.ExposedPorts = append(req.ExposedPorts, name+"/tcp")
			bindings[network.MustParsePort(name+"/tcp")] = []network.PortBinding{{HostPort: name}}
		}
		return testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.PortBindings = bindings
		})(req)
	}
}

// remove ends a container at once, paused or not, with its data.
func remove(ctx context.Context, docker *client.Client, one *testcontainers.DockerContainer) error {
	_, err := docker.ContainerRemove(ctx, one.GetContainerID(), client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
	return err
}

// dockerNode is a node that runs in a container.
type dockerNode struct {
	docker *client.Client
	id     string
}

func (d *dockerNode) kill(ctx context.Context) error {
	gone := d.docker.ContainerWait(ctx, d.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	if _, err := d.docker.ContainerKill(ctx, d.id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		return err
	}
	select {
	case <-gone.Result:
		return nil
	case err := <-gone.Error:
		return err
	}
}

func (d *dockerNode) start(ctx context.Context) error {
	_, err := d.docker.ContainerStart(ctx, d.id, client.ContainerStartOptions{})
	return err
}

func (d *dockerNode) pause(ctx context.Context) error {
	_, err := d.docker.ContainerPause(ctx, d.id, client.ContainerPauseOptions{})
	return err
}

func (d *dockerNode) unpause(ctx context.Context) error {
	_, err := d.docker.ContainerUnpause(ctx, d.id, client.ContainerUnpauseOptions{})
	return err
}

func (d *dockerNode) output(ctx context.Context) string {
	logs, err := d.docker.ContainerLogs(ctx, d.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "40"})
	if err != nil {
		return err.Error()
	}
	defer logs.Close() //nolint:errcheck // it was read
	var last tail
	if _, err := stdcopy.StdCopy(&last, &last, logs); err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	return last.String()
}

// silent keeps testcontainers from reporting each step.
type silent struct{}

func (silent) Printf(string, ...any) {}
