// Run on a master by kubreak, in local mode and in containers alike, for what has to be asked there:
//   master-tool api-fault METHOD PATH   one request for its rules, the body on standard input; prints a ControlAnswer
//   master-tool etcd-snapshot           prints a snapshot of its etcd, lines of base64
import { text } from 'node:stream/consumers';

const [verb, method = 'GET', path = '/'] = process.argv.slice(2);
const work = async (): Promise<void> => {
  switch (verb) {
    case 'api-fault': {
      const { askForRules } = await import('./api-fault.ts');
      process.stdout.write(JSON.stringify(await askForRules(method, path, await text(process.stdin))));
      return;
    }
    case 'etcd-snapshot': {
      const { printEtcdSnapshot } = await import('./etcd-snapshot.ts');
      return printEtcdSnapshot(process.stdout);
    }
    default: throw new Error('usage: master-tool api-fault METHOD PATH | etcd-snapshot');
  }
};
work().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
