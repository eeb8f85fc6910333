// The small servers of built-in images that nginx cannot be: `stand-in-server echoserver`, `agnhost COMMAND ...`.
import { agnhost } from './agnhost.ts';
import { serveEcho } from './echoserver.ts';

const [first = '', ...rest] = process.argv.slice(2);
process.once('SIGTERM', () => process.exit(0));
process.once('SIGINT', () => process.exit(0));

if (first === 'echoserver') serveEcho({ version: process.env['ECHOSERVER_VERSION'] ?? '1.10', port: 8080, pod: process.env });
else agnhost([first, ...rest]);
