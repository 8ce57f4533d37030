/** States of a client. */
export const CONNECTING = 0;
export const ACTIVE = 1;
export const ASLEEP = 2;
export const AWAKE = 3;
export const GONE = 4;

/** Token of the wait for the end of an old session. */
export const DISCARDED = -1;
