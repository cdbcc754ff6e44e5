/**
 * Protects: set-up installs what is missing and nothing else. The script runs in a checkout and on a system made of stand-ins
 * for node, npm, apt-get, id and sudo, which write down how they are called.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPTS = join(import.meta.dirname, '../../scripts');
const TOOLS = ['awk', 'bash', 'cat', 'cksum', 'dirname', 'head', 'mkdir', 'mktemp', 'rm', 'sh', 'sort', 'tail'];

const STAND_INS = {
  node: `case "$*" in
  *'setup --check') [ -e "$STATE/driver" ] && echo 'llvmpipe (software)' || exit 2 ;;
  *versions.node*) cat "$STATE/node-version" ;;
  *) echo 20.19.0 ;;
esac`,
  npm: `echo "npm $*" >>"$STATE/calls"; mkdir -p node_modules`,
  'apt-get': `echo "apt-get $*" >>"$STATE/calls"
[ "$1" = update ] || { [ ! -e "$STATE/broken" ] || { echo 'E: broken'; exit 100; }; : >"$STATE/driver"; }`,
  id: `cat "$STATE/uid"`,
  sudo: `exit 1`,
};

const ONE_LINE_SOURCE = 'deb http://mirror.example/debian bookworm main\n';
const NPM_CI = 'npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error';
const INSTALL = 'apt-get install -y --no-install-recommends';

let top: string;
let state: string;
let checkout: string;
let system: string;
let bin: string;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'setup-'));
  state = newFolder('state');
  checkout = newFolder('checkout');
  system = newFolder('system');
  bin = newFolder('bin');
  newFolder('system/etc/apt/sources.list.d');
  for (const name of TOOLS) symlinkSync(which(name), join(bin, name));
  for (const [name, body] of Object.entries(STAND_INS)) script(name, body);
  cpSync(SCRIPTS, join(checkout, 'scripts'), { recursive: true });
  writeFileSync(join(checkout, 'package-lock.json'), '{}');
  setState({ uid: '0', 'node-version': '20.19.0' });
  useSystem('ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n', ONE_LINE_SOURCE);
});

afterEach(() => rmSync(top, { recursive: true }));

function newFolder(name: string): string {
  const path = join(top, name);
  mkdirSync(path, { recursive: true });
  return path;
}

function which(name: string): string {
  const folder = (process.env.PATH ?? '').split(delimiter).find((f) => existsSync(join(f, name)));
  if (folder === undefined) throw new Error(`${name} is not on this machine's PATH`);
  return join(folder, name);
}

function script(name: string, body: string): void {
  writeFileSync(join(bin, name), `#!${which('bash')}\n${body}\n`);
  chmodSync(join(bin, name), 0o755);
}

function setState(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(state, name), content);
}

function useSystem(release: string, sources: string): void {
  writeFileSync(join(system, 'etc/os-release'), release);
  writeFileSync(join(system, 'etc/apt/sources.list'), sources);
}

const backportsFile = () => join(system, 'etc/apt/sources.list.d/light-peft-backports.sources');

/** Runs set-up without a terminal; `calls` are those of this run alone. */
function setUp(variables: Record<string, string> = {}) {
  rmSync(join(state, 'calls'), { force: true });
  const { status, stdout, stderr } = spawnSync(join(bin, 'bash'), [join(checkout, 'scripts/setup.sh')], {
    env: { PATH: bin, STATE: state, LIGHT_PEFT_SYSTEM_ROOT: system, ...variables },
    encoding: 'utf8',
    input: '',
  });
  const log = join(state, 'calls');
  const calls = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
  return { status, stdout, stderr, calls };
}

describe('npm packages', () => {
  beforeEach(() => setState({ driver: '' }));

  it('are installed once, and again when the lock file changes', () => {
    const first = setUp();
    expect(first).toMatchObject({ status: 0, stderr: '', calls: [NPM_CI] });
    expect(first.stdout).toContain('setup: WebGPU adapter: llvmpipe (software)\n');
    const second = setUp();
    expect(second).toMatchObject({ status: 0, calls: [] });
    expect(second.stdout).toContain('up to date');
    writeFileSync(join(checkout, 'package-lock.json'), '{"changed":true}');
    expect(setUp().calls).toEqual([NPM_CI]);
  });

  it('are installed every time in CI', () => {
    setUp();
    expect(setUp({ CI: 'true' }).calls).toEqual([NPM_CI]);
  });
});

describe('Node.js', () => {
  it.each([
    ['18.20.4', 2],
    ['20.9.0', 2],
    ['20.19.0', 0],
    ['24.0.1', 0],
  ])('%s gives exit code %i', (version, status) => {
    setState({ driver: '', 'node-version': version });
    const run = setUp();
    expect(run.status).toBe(status);
    if (status !== 0) expect(run.stderr).toContain(`Node.js ${version} is too old; 20.19.0 or newer is needed`);
  });
});

describe('where there is no adapter', () => {
  it('takes the driver from the backports on Debian 12, and asks for nothing the second time', () => {
    expect(setUp()).toMatchObject({
      status: 0,
      calls: [NPM_CI, 'apt-get update', `${INSTALL} -t bookworm-backports mesa-vulkan-drivers libvulkan1`],
    });
    expect(readFileSync(backportsFile(), 'utf8')).toBe(
      'Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n',
    );
    expect(setUp()).toMatchObject({ status: 0, calls: [] });
  });

  it('uses backports that are a source already', () => {
    useSystem(
      'VERSION_CODENAME=bookworm\n',
      `${ONE_LINE_SOURCE}deb http://mirror.example/debian bookworm-backports main\n`,
    );
    expect(setUp().calls.at(-1)).toBe(`${INSTALL} -t bookworm-backports mesa-vulkan-drivers libvulkan1`);
    expect(existsSync(backportsFile())).toBe(false);
  });

  it.each(['ID=debian\nVERSION_CODENAME=trixie\n', 'ID=ubuntu\nVERSION_CODENAME=noble\n', 'ID=debian\n'])(
    'takes the distribution’s own driver elsewhere: %j',
    (release) => {
      useSystem(release, 'deb http://mirror.example/debian trixie main\n');
      expect(setUp()).toMatchObject({
        status: 0,
        calls: [NPM_CI, 'apt-get update', `${INSTALL} mesa-vulkan-drivers libvulkan1`],
      });
      expect(existsSync(backportsFile())).toBe(false);
    },
  );

  it('prints the commands where it may not become root, and they work', () => {
    setState({ uid: '1000' });
    const run = setUp();
    expect(run).toMatchObject({ status: 2, calls: [NPM_CI] });
    const commands = run.stderr.slice(run.stderr.indexOf('\n\n') + 2);
    expect(spawnSync(join(bin, 'sh'), ['-ec', commands], { env: { PATH: bin, STATE: state } }).status).toBe(0);
    expect(setUp().status).toBe(0);
    expect(existsSync(backportsFile())).toBe(true);
  });

  it('leaves no source behind when the installation fails', () => {
    setState({ broken: '' });
    const run = setUp();
    expect(run.status).toBe(2);
    expect(run.stderr).toContain('E: broken');
    expect(existsSync(backportsFile())).toBe(false);
  });

  it('says what to install where there is no apt', () => {
    rmSync(join(bin, 'apt-get'));
    const run = setUp();
    expect(run.status).toBe(2);
    expect(run.stderr).toContain('No WebGPU adapter was found. Install your GPU');
  });

  it('says that the driver is not accepted', () => {
    script('apt-get', ':');
    const run = setUp();
    expect(run.status).toBe(2);
    expect(run.stderr).toContain('no adapter that Dawn accepts');
  });
});
