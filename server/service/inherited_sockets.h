// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_INHERITED_SOCKETS_H_
#define LOCKHOST_SERVER_SERVICE_INHERITED_SOCKETS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::server {

// Sockets that the service manager opened for us (socket activation, sd_listen_fds(3)), by
// the FileDescriptorName= of their unit. Invalid: it opened none. Whether they are of the
// right kind is for Listener::Adopt() to say.
struct InheritedSockets {
  UniqueFd admin;
  UniqueFd vsock;
};

struct NamedFd {
  std::string name;
  UniqueFd fd;
};

// INVALID_ARGUMENT: a name that we have no use for, or one that comes twice. Pure.
absl::StatusOr<InheritedSockets> SortInherited(std::vector<NamedFd> fds);

// Takes what this process was started with, once; later calls find nothing. Not
// thread-safe: it changes the environment. Errors: as above, and INVALID_ARGUMENT for an
// environment that promises what is not there.
absl::StatusOr<InheritedSockets> TakeInheritedSockets();

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_INHERITED_SOCKETS_H_
