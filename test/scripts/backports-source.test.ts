/** Protects: the apt source of Debian's backports keeps the machine's own mirror, dated path and options. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const SCRIPT = join(import.meta.dirname, '../../scripts/backports-source.sh');

const folder = mkdtempSync(join(tmpdir(), 'backports-source-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(files: Record<string, string>): string[] {
  return Object.entries(files).map(([name, content]) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  });
}

/** What the script prints for Debian 12 from these files of apt, in this order. */
function derive(files: Record<string, string>): string {
  return execFileSync('bash', [SCRIPT, 'bookworm', ...write(files)], { encoding: 'utf8' });
}

function exitCode(files: Record<string, string>): number | null {
  return spawnSync('bash', [SCRIPT, 'bookworm', ...write(files)], { input: '' }).status;
}

const DEBIAN = `\
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;

const DERIVED = `\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;

describe('deb822 files', () => {
  it('keeps mirror and keyring of a single stanza', () => {
    expect(derive({ 'debian.sources': DEBIAN })).toBe(DERIVED);
  });

  it('finds the stanza among others, whatever their order', () => {
    const security = DEBIAN.replace('/debian', '/debian-security').replace(/Suites:.*/, 'Suites: bookworm-security');
    expect(derive({ 'debian.sources': `${security}\n\n${DEBIAN}\n${security}` })).toBe(DERIVED);
  });

  it('keeps a dated snapshot, its options and comments out of the way', () => {
    const snapshot = `\
# Written by an image builder
Types: deb
# http://other.example/debian
URIs: http://snapshot.example/archive/debian/20250520T000000Z
Suites: bookworm bookworm-updates
Components: main
Check-Valid-Until: no
Architectures: amd64
`;
    expect(derive({ 'debian.sources': snapshot })).toBe(`\
Types: deb
URIs: http://snapshot.example/archive/debian/20250520T000000Z
Suites: bookworm-backports
Components: main
Check-Valid-Until: no
Architectures: amd64
`);
  });

  it('reads folded fields and keeps a key written into the file', () => {
    const folded = `\
types: deb
uris: http://mirror.example/debian
suites:
 bookworm
 bookworm-updates
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
 -----END PGP PUBLIC KEY BLOCK-----
`;
    const derived = derive({ 'debian.sources': folded });
    expect(derived).toContain('URIs: http://mirror.example/debian\nSuites: bookworm-backports\n');
    expect(derived).toContain(folded.slice(folded.indexOf('signed-by:')));
  });

  it('passes over disabled stanzas and sources of code only', () => {
    expect(exitCode({ 'debian.sources': `${DEBIAN}Enabled: no\n` })).toBe(1);
    expect(exitCode({ 'debian.sources': DEBIAN.replace('deb deb-src', 'deb-src') })).toBe(1);
  });
});

describe('one-line files', () => {
  it('derives from a plain line', () => {
    expect(derive({ 'sources.list': 'deb http://mirror.example/debian bookworm main # the mirror\n' })).toBe(`\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main
`);
  });

  it('turns options into fields', () => {
    const line =
      'deb [ arch=amd64,arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no ] ' +
      'http://snapshot.example/archive/debian/20250520T000000Z/ bookworm contrib main\n';
    expect(derive({ 'debian.list': line })).toBe(`\
Types: deb
URIs: http://snapshot.example/archive/debian/20250520T000000Z/
Suites: bookworm-backports
Components: main
Architectures: amd64 arm64
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Check-Valid-Until: no
`);
  });

  it('passes over comments, other suites and sources of code', () => {
    const lines = `\
# deb http://commented.example/debian bookworm main
deb-src http://code.example/debian bookworm main
deb http://updates.example/debian bookworm-updates main
deb http://security.example/debian-security bookworm-security main
deb http://mirror.example/debian bookworm main
`;
    expect(derive({ 'sources.list': lines })).toContain('URIs: http://mirror.example/debian\n');
  });
});

describe('several files', () => {
  it('does not take somebody else’s repository for Debian', () => {
    const files = {
      'a.list':
        'deb [signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example/debian/12/prod bookworm main\n' +
        'deb https://tool.example/apt bookworm main\n',
      'debian.sources': DEBIAN,
    };
    expect(derive(files)).toBe(DERIVED);
  });

  it('takes a mirror whose path does not name Debian where there is no other', () => {
    expect(derive({ 'sources.list': 'deb http://cache.example/mirror-12 bookworm main\n' })).toContain(
      'URIs: http://cache.example/mirror-12\n',
    );
  });

  it('prints nothing where the backports are a source already', () => {
    const backports = DERIVED.replace('mirror.example', 'backports.example');
    expect(derive({ 'backports.sources': backports, 'debian.sources': DEBIAN })).toBe('');
    expect(
      derive({ 'sources.list': 'deb http://m.example/debian bookworm-backports main\n', 'debian.sources': DEBIAN }),
    ).toBe('');
  });

  it('says by its exit code that no source of Debian is there', () => {
    expect(exitCode({})).toBe(1);
    expect(exitCode({ 'sources.list': 'deb http://mirror.example/debian trixie main\n' })).toBe(1);
  });
});
