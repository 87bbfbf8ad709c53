// Puts the compiled filter into an OCI image as Istio's agent takes it, and pushes that: `make image`, `make push`.
//
//	image build --module peergate.wasm --licence LICENSE --sbom peergate.cdx.json --layout target/image
//	image push --layout target/image registry.example/peergate:0.1.0
//
// What comes out follows from what goes in and from nothing else: no clock, no user, no name of a machine. The bill of
// materials is an artifact of its own, whose `subject` is the image. Nothing is signed here.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// The name under which Istio's agent looks for the module, in the last layer.
	moduleName = "plugin.wasm"
	// The media type that CycloneDX has registered for its JSON.
	sbomType = types.MediaType("application/vnd.cyclonedx+json")
	// The config of a manifest that needs none (OCI image-spec 1.1).
	emptyType = types.MediaType("application/vnd.oci.empty.v1+json")
	// Says of an OCI image that its layer holds a module (Wasm Image Specification, compat variant).
	variantKey, variant = "module.wasm.image/variant", "compat"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) > 0 {
		switch arguments[0] {
		case "build":
			return build(arguments[1:])
		case "push":
			return push(arguments[1:])
		}
	}
	return errors.New("what to do is missing: `build` or `push`")
}

func build(arguments []string) error {
	flags := flag.NewFlagSet("build", flag.ExitOnError)
	module := flags.String("module", "", "the compiled filter")
	licence := flags.String("licence", "", "the text of its licence")
	sbom := flags.String("sbom", "", "its bill of materials, CycloneDX in JSON")
	directory := flags.String("layout", "", "the directory that becomes an OCI image layout; what it held is removed")
	revision := flags.String("revision", "", "the commit, where it is known")
	source := flags.String("source", "", "where the source can be had, where that is known")
	epoch := flags.Int64("epoch", 0, "when it was made, in seconds since 1970")
	_ = flags.Parse(arguments)

	bill, err := os.ReadFile(*sbom)
	if err != nil {
		return err
	}
	made := time.Unix(*epoch, 0).UTC()
	annotations, err := described(bill)
	if err != nil {
		return fmt.Errorf("%s: %w", *sbom, err)
	}
	annotations[variantKey] = variant
	if *epoch != 0 {
		annotations["org.opencontainers.image.created"] = made.Format(time.RFC3339)
	}
	if *revision != "" {
		annotations["org.opencontainers.image.revision"] = *revision
	}
	if *source != "" {
		annotations["org.opencontainers.image.source"] = *source
	}
	layer, err := packed([]member{{"LICENSE", *licence}, {moduleName, *module}}, made)
	if err != nil {
		return err
	}
	image, err := imageOf(layer, made, annotations)
	if err != nil {
		return err
	}
	attached, err := attachedTo(image, bill)
	if err != nil {
		return err
	}
	return write(*directory, annotations["org.opencontainers.image.version"], image, attached)
}

// described is what the bill of materials says of the module itself.
func described(bill []byte) (map[string]string, error) {
	var said struct {
		Metadata struct {
			Component struct {
				Name, Version, Description string
				Licenses                   []struct {
					License    struct{ ID string }
					Expression string
				}
			}
		}
	}
	if err := json.Unmarshal(bill, &said); err != nil {
		return nil, err
	}
	component := said.Metadata.Component
	if component.Name == "" || component.Version == "" || len(component.Licenses) != 1 {
		return nil, errors.New("`metadata.component` needs a name, a version and one licence")
	}
	return map[string]string{
		"org.opencontainers.image.title":       component.Name,
		"org.opencontainers.image.version":     component.Version,
		"org.opencontainers.image.description": component.Description,
		"org.opencontainers.image.licenses":    component.Licenses[0].Expression + component.Licenses[0].License.ID,
	}, nil
}

// member is a file of the layer, and where its content comes from.
type member struct{ name, path string }

// packed is a layer that holds these files in this order, and nothing of the machine that they come from.
func packed(members []member, made time.Time) (v1.Layer, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, each := range members {
		content, err := os.ReadFile(each.path)
		if err != nil {
			return nil, err
		}
		header := tar.Header{
			Typeflag: tar.TypeReg, Name: each.name, Size: int64(len(content)), Mode: 0o644, ModTime: made, Format: tar.FormatUSTAR,
		}
		if err := writer.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return tarball.LayerFromOpener(
		opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression),
	)
}

// imageOf is the image of one layer.
func imageOf(layer v1.Layer, made time.Time, annotations map[string]string) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	when := v1.Time{Time: made}
	// What Go calls the target of the module. Istio's agent does not look at it.
	configured, err := mutate.ConfigFile(base, &v1.ConfigFile{
		Architecture: "wasm", OS: "wasip1", Created: when, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(configured, mutate.Addendum{
		Layer: layer, History: v1.History{Created: when, CreatedBy: "make image"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(image, annotations).(v1.Image), nil
}

// artifact is a manifest of one blob that is no image: go-containerregistry's own have always a config.
type artifact struct {
	manifest, config []byte
	blob             v1.Layer
}

func (a artifact) RawManifest() ([]byte, error)                           { return a.manifest, nil }
func (a artifact) RawConfigFile() ([]byte, error)                         { return a.config, nil }
func (a artifact) MediaType() (types.MediaType, error)                    { return types.OCIManifestSchema1, nil }
func (a artifact) LayerByDigest(v1.Hash) (partial.CompressedLayer, error) { return a.blob, nil }

// attachedTo is the bill of materials as an artifact that refers to the image.
func attachedTo(image v1.Image, bill []byte) (v1.Image, error) {
	subject, err := partial.Descriptor(image)
	if err != nil {
		return nil, err
	}
	// Who looks for the image by its digest has these already.
	subject.Annotations, subject.ArtifactType, subject.Platform = nil, "", nil
	blob := static.NewLayer(bill, sbomType)
	described, err := partial.Descriptor(blob)
	if err != nil {
		return nil, err
	}
	config := []byte("{}")
	hash, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  string(sbomType),
		Config:        v1.Descriptor{MediaType: emptyType, Digest: hash, Size: size},
		Layers:        []v1.Descriptor{*described},
		Subject:       subject,
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(artifact{manifest, config, blob})
}

// write makes the directory anew: the image under its version, and what is attached to it.
func write(directory, version string, image, attached v1.Image) error {
	// Only what this program has made is removed.
	if _, err := os.Stat(filepath.Join(directory, "oci-layout")); err == nil {
		if err := os.RemoveAll(directory); err != nil {
			return err
		}
	}
	path, err := layout.Write(directory, empty.Index)
	if err != nil {
		return err
	}
	for _, each := range []v1.Image{image, attached} {
		if err := path.WriteImage(each); err != nil {
			return err
		}
		descriptor, err := partial.Descriptor(each)
		if err != nil {
			return err
		}
		if each == image {
			// What go-containerregistry calls the type of an image that has none.
			descriptor.ArtifactType = ""
			descriptor.Annotations = map[string]string{"org.opencontainers.image.ref.name": version}
		}
		if err := path.AppendDescriptor(*descriptor); err != nil {
			return err
		}
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}

// push sends the image and what is attached to it, and prints by what the image is pulled: the credentials are those of
// `docker login`, and a registry of this machine may speak plain HTTP.
func push(arguments []string) error {
	flags := flag.NewFlagSet("push", flag.ExitOnError)
	directory := flags.String("layout", "", "an OCI image layout as `build` makes it")
	_ = flags.Parse(arguments)
	if flags.NArg() != 1 {
		return errors.New("one name of an image is needed, as registry.example/peergate:0.1.0")
	}
	target, err := name.NewTag(flags.Arg(0), name.StrictValidation)
	if err != nil {
		return err
	}
	images, err := written(*directory)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	var pulledBy name.Digest
	for position, image := range images {
		digest, err := image.Digest()
		if err != nil {
			return err
		}
		byDigest := target.Context().Digest(digest.String())
		var destination name.Reference = byDigest
		if position == 0 {
			pulledBy, destination = byDigest, target
		}
		if err := remote.Write(destination, image, options...); err != nil {
			return err
		}
	}
	fmt.Println(pulledBy)
	return nil
}

// written is what a layout holds: the image, and then what is attached to it.
func written(directory string) ([]v1.Image, error) {
	index, err := layout.ImageIndexFromPath(directory)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) == 0 {
		return nil, fmt.Errorf("%s: holds no image", directory)
	}
	var images []v1.Image
	for _, each := range manifest.Manifests {
		image, err := index.Image(each.Digest)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return images, nil
}
