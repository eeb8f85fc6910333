// The place where the hosts stand: init process of the outer namespace. It lays the network, powers the hosts, boots
// them again when they go down, and relays connections from the machine to the API server. When its standard input
// ends (the supervisor is gone) it ends too, and the kernel clears everything away.
import { readFileSync } from 'node:fs';
import type { LabConfig } from './lab-config.ts';
import { runLab } from './lab.ts';

process.title = 'kubreak-lab';
const config = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as LabConfig;
const stopping = new AbortController();
process.on('SIGTERM', () => stopping.abort());
process.on('SIGINT', () => undefined); // Ctrl-C reaches the whole group; the supervisor decides
process.stdin.on('end', () => stopping.abort());
process.stdin.on('error', () => stopping.abort());
process.stdin.resume();
void runLab(config, stopping.signal).then(() => process.exit(0));
