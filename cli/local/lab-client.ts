// Asks the lab to power hosts, add or remove them.
import { connect } from 'node:net';
import { LAB_SOCKET } from './lab/lab-config.ts';

const TIMEOUT_MS = 30_000;

/** Throws when the lab does not answer or says what is wrong. */
export async function askLab(labPid: number, line: string): Promise<void> {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(`/proc/${labPid}/root${LAB_SOCKET}`, () => socket.write(`${line}\n`));
    let text = '';
    socket.setEncoding('utf8').setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('the lab does not answer')));
    socket.on('error', reject).on('data', (chunk: string) => (text += chunk)).on('end', () => resolve(text.trim()));
  });
  if (answer !== 'ok') throw new Error(answer || 'the lab closed the connection');
}
