package winprobe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cloudsoda/go-smb2"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// maxFile is how much of a file is read.
const maxFile = 1 << 20

// File is win.file, without the secrets of the file.
func (c *Client) File(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.FileQuestion) (facts.FileData, error) {
	var out facts.FileData
	err := c.withFile(ctx, tr, r, q, func(f io.ReaderAt, size int64) error {
		out = facts.FileData{Exists: true, Size: size, Content: make([]byte, min(size, maxFile))}
		n, err := f.ReadAt(out.Content, 0)
		out.Content = facts.RedactFile(q.Path, out.Content[:n])
		if errors.Is(err, io.EOF) { // it became shorter meanwhile
			err = nil
		}
		return err
	})
	if err != nil {
		return facts.FileData{}, err
	}
	return out, nil
}

// FileVersion is win.file-version.
func (c *Client) FileVersion(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.FileQuestion) (facts.VersionData, error) {
	var out facts.VersionData
	err := c.withFile(ctx, tr, r, q, func(f io.ReaderAt, size int64) error {
		version, err := fileVersion(f, size)
		out = facts.VersionData{Exists: true, Version: version}
		if err == nil && version == "" {
			tr.Log("the file carries no version")
		}
		var wrong *notPE
		if errors.As(err, &wrong) {
			return evidence.Fail(evidence.Protocol, q.Path+" of "+q.Host+" cannot be read as a program: "+wrong.why)
		}
		return err
	})
	if err != nil {
		return facts.VersionData{}, err
	}
	return out, nil
}

// withFile hands an open file to fn, or does not where the file is not there. C:\Windows is Windows in the share C$.
func (c *Client) withFile(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.FileQuestion, fn func(f io.ReaderAt, size int64) error) error {
	drive, path, ok := strings.Cut(q.Path, `:\`)
	if !ok || len(drive) != 1 || !strings.Contains("ABCDEFGHIJKLMNOPQRSTUVWXYZ", strings.ToUpper(drive)) || path == "" {
		return evidence.Fail(evidence.Internal, "the file cannot be asked for: "+q.String())
	}
	s, err := c.server(ctx, tr, r, q.Host)
	if err != nil {
		return err
	}
	name := strings.ToUpper(drive) + "$"
	what := q.Path + " of " + s.endpoint.Host
	s.mu.Lock()
	silent := s.silent[name]
	s.mu.Unlock()
	if silent != nil {
		return silent
	}
	life, end := context.WithCancel(s.ctx)
	defer end()
	err = s.talk(ctx, tr, func(within context.Context) error {
		defer context.AfterFunc(within, end)()
		share, err := s.share(within, name)
		if err != nil {
			return err
		}
		f, err := share.WithContext(life).Open(path)
		status, answered := statusOf(err)
		switch {
		case err == nil:
		case answered && (status == statusObjectNameNotFound || status == statusObjectPathNotFound):
			return nil
		case answered && status == statusSharingViolation:
			return evidence.Fail(evidence.Denied, what+" is in use by a program that lets no other read it")
		case answered:
			return refusedWith("reading "+what, status)
		default:
			return err
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return evidence.Fail(evidence.Protocol, what+" is a folder")
		}
		if info.Size() < 0 {
			return errors.New("a size that cannot be")
		}
		return fn(fileReader{f}, info.Size())
	})
	var failure *evidence.Failure
	if errors.As(err, &failure) && failure.Reason == evidence.Timeout && env.Ended(ctx) == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.silent[name] == nil {
			s.silent[name] = evidence.Rooted(err, sessionKey(s.endpoint, name))
		}
		return s.silent[name]
	}
	return err
}

// fileReader reads a file of a share.
type fileReader struct{ *smb2.File }

// ReadAt implements io.ReaderAt, for which the library gives less than is asked for without an error.
func (f fileReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("reading: %w", err)
	}
	return n, err
}
