/* What a service manager is told: readiness, that we are alive, that we stop. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_NOTIFY_H
#define TIDEMARK_ADAPTERS_SYSTEM_NOTIFY_H

/* Sends `state` ("READY=1", "WATCHDOG=1", "STOPPING=1") to the socket that $NOTIFY_SOCKET names (systemd's sd_notify
   protocol); without one nothing happens. Failures are ignored: nobody can do anything about them here. */
void tm_notify(const char *state);

#endif
