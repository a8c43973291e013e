/** Where all parts of the sandbox listen: nothing of it is for the network. */
export const HOST = '127.0.0.1';
