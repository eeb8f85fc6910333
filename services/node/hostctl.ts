// systemctl, modprobe, lsmod and reboot inside a host: hands its words to the host's supervisor.
import { connect } from 'node:net';

const SOCKET = '/run/kubreak/node.sock';
const [op = '', ...args] = process.argv.slice(2);

const socket = connect(SOCKET, () => socket.write(`${JSON.stringify({ op, args })}\n`));
let text = '';
socket.setEncoding('utf8');
socket.on('data', (chunk: string) => (text += chunk));
socket.on('error', (error) => {
  process.stderr.write(`${op}: the host's supervisor does not answer: ${error.message}\n`);
  process.exitCode = 1;
});
socket.on('end', () => {
  if (text === '') {
    process.stderr.write(`${op}: the host's supervisor closed the connection\n`);
    process.exitCode = 1;
    return;
  }
  const { exitCode, stdout, stderr } = JSON.parse(text) as { exitCode: number; stdout: string; stderr: string };
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = exitCode;
});
