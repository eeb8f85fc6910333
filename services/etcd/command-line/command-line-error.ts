/** Ends the process before it began. */
export class CommandLineError extends Error {
  override readonly name = 'CommandLineError';
  /** 2 where the flags themselves cannot be read, 1 where what they say cannot be. Source: etcd v3.6, server/etcdmain (config.parse, startEtcdOrProxyV2). */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2) {
    super(message);
    this.exitCode = exitCode;
  }
}
