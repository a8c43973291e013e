// Loaded first (`node --import`), and JavaScript, because an older Node cannot even read the TypeScript that would say so.
const needed = 24;

if (Number(process.versions.node.split('.')[0]) < needed) {
  const cure = 'npm install brings it on Linux; elsewhere install it from https://nodejs.org';
  process.stderr.write(`Brokkr needs Node ${needed} or later, and this is ${process.version}: ${cure}\n`);
  process.exit(1);
}
