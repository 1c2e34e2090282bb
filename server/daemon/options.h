// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_DAEMON_OPTIONS_H_
#define LOCKHOST_SERVER_DAEMON_OPTIONS_H_

#include "server/config/config.h"
#include "server/daemon/daemon.h"
#include "server/service/inherited_sockets.h"

namespace lockhost::server {

// What a configuration asks for; the version and the publisher's instance are not of it.
// REQUIRES: CheckConfig(config).ok().
Daemon::Options OptionsFrom(const Config& config);

// Has lockhostd listen there, instead of on sockets that it makes.
void UseInherited(InheritedSockets sockets, Daemon::Options* options);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_DAEMON_OPTIONS_H_
