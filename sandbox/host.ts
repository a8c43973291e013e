/** All parts of the sandbox listen on loopback only. */
export const HOST = '127.0.0.1';
