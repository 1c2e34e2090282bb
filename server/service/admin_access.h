// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_ADMIN_ACCESS_H_
#define LOCKHOST_SERVER_SERVICE_ADMIN_ACCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lockhost::server {

// Who connected a unix socket, as it was when it did (SO_PEERCRED, SO_PEERGROUPS).
struct PeerCredentials {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;  // supplementary ones
};
absl::StatusOr<PeerCredentials> PeerCredentialsOf(int fd);

// Who may speak on the admin socket: root, lockhostd's own user, members of one group. The
// file's mode says the same; this holds where the file was changed since, or was made by
// somebody else.
struct AdminAccess {
  uid_t own_uid;
  gid_t group;

  bool Admits(const PeerCredentials& peer) const;
};

// INVALID_ARGUMENT: there is no group of that name.
absl::StatusOr<gid_t> FindGroup(const std::string& name);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_ADMIN_ACCESS_H_
