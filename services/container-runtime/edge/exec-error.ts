// containerd's words for a program that could not be started in a container.
export const execStartText = (error: string): string =>
  `failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: ${error}`;
