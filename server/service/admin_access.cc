// SPDX-License-Identifier: Apache-2.0
#include "server/service/admin_access.h"

#include <grp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"

namespace lockhost::server {

absl::StatusOr<PeerCredentials> PeerCredentialsOf(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return absl::ErrnoToStatus(errno, "SO_PEERCRED");
  }
  PeerCredentials credentials = {peer.uid, peer.gid, {}};
  socklen_t bytes = 0;
  // Fails as long as there is too little room, and says how much it wants.
  while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, credentials.groups.data(), &bytes) != 0) {
    if (errno != ERANGE) return absl::ErrnoToStatus(errno, "SO_PEERGROUPS");
    credentials.groups.resize(bytes / sizeof(gid_t));
  }
  return credentials;
}

bool AdminAccess::Admits(const PeerCredentials& peer) const {
  return peer.uid == 0 || peer.uid == own_uid || peer.gid == group ||
         std::find(peer.groups.begin(), peer.groups.end(), group) != peer.groups.end();
}

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  std::vector<char> text(1024);
  group entry{};
  group* found = nullptr;
  int error = 0;
  while ((error = getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found)) == ERANGE) {
    text.resize(2 * text.size());
  }
  if (found != nullptr) return entry.gr_gid;
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("look up group ", name));
  return absl::InvalidArgumentError(absl::StrCat("no group is named '", name, "'"));
}

}  // namespace lockhost::server
