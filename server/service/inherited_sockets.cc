// SPDX-License-Identifier: Apache-2.0
#include "server/service/inherited_sockets.h"

#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::server {

absl::StatusOr<InheritedSockets> SortInherited(std::vector<NamedFd> fds) {
  InheritedSockets sockets;
  for (NamedFd& each : fds) {
    UniqueFd* place = each.name == "admin"   ? &sockets.admin
                      : each.name == "vsock" ? &sockets.vsock
                                             : nullptr;
    if (place == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("inherited socket named '", each.name, "': must be admin or vsock"));
    }
    if (place->valid()) {
      return absl::InvalidArgumentError(
          absl::StrCat("two inherited sockets are named ", each.name));
    }
    *place = std::move(each.fd);
  }
  return sockets;
}

absl::StatusOr<InheritedSockets> TakeInheritedSockets() {
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(1, &names);
  if (count < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDS, LISTEN_FDNAMES: ", std::strerror(-count)));
  }
  std::vector<NamedFd> fds;
  for (int i = 0; i < count; ++i) {
    fds.push_back({names[i], UniqueFd(SD_LISTEN_FDS_START + i)});
    std::free(names[i]);
  }
  std::free(names);
  return SortInherited(std::move(fds));
}

}  // namespace lockhost::server
