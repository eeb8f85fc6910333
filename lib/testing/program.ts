// How tests start a program of this project: from its sources, so that nothing has to be built first. What runs all tests has just
// built everything and says where: that starts in a fraction of the time, and is what people run.

/** Of what runs the tests: a JSON object, path of a main file => path of what was built of it. */
export const BUILT_PROGRAMS = 'KUBREAK_BUILT_PROGRAMS';

/** The words of a command; `main` is the URL of the file to start. */
export function programOf(main: URL): readonly string[] {
  const built = JSON.parse(process.env[BUILT_PROGRAMS] ?? '{}') as Readonly<Record<string, string>>;
  const { [main.pathname]: program } = built;
  return program === undefined ? [process.execPath, '--import', import.meta.resolve('tsx'), main.pathname] : [process.execPath, program];
}
