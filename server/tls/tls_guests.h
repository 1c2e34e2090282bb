// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_TLS_TLS_GUESTS_H_
#define LOCKHOST_SERVER_TLS_TLS_GUESTS_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/directory/tls_counters.h"

namespace lockhost::server {

// Which VM a certificate stands for: by the configuration from the certificate's name to the
// VMM's name for the VM, or its UUID; by the agent from there to the VM. Where either step has
// two answers nobody is served. Pure; not thread-safe.
class TlsGuests {
 public:
  struct Guest {
    std::string certificate_name;  // canonical: see certificate_names.h
    std::string vm;                // the VMM's name for it, or its UUID
  };
  struct Owner {
    bool found;
    TlsRefusal why;  // not found
    uint64_t vm_id;  // found
  };

  void Configure(const std::vector<Guest>& guests);
  // What the agent says of a VM; empty: nothing.
  void Put(uint64_t vm_id, std::string name, std::string uuid) {
    vms_[vm_id] = {std::move(name), std::move(uuid)};
  }
  void Remove(uint64_t vm_id) { vms_.erase(vm_id); }

  // For the names of one certificate.
  Owner Find(std::span<const std::string> certificate_names) const;

 private:
  struct Facts {
    std::string name;
    std::string uuid;
  };

  std::map<std::string, std::string> guests_;  // VM, by certificate name
  std::map<uint64_t, Facts> vms_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_TLS_TLS_GUESTS_H_
