// SPDX-License-Identifier: Apache-2.0
#include "server/tls/tls_guests.h"

#include <set>

namespace lockhost::server {

void TlsGuests::Configure(const std::vector<Guest>& guests) {
  guests_.clear();
  for (const Guest& guest : guests) guests_[guest.certificate_name] = guest.vm;
}

TlsGuests::Owner TlsGuests::Find(std::span<const std::string> certificate_names) const {
  std::set<std::string> wanted;
  for (const std::string& name : certificate_names) {
    if (const auto guest = guests_.find(name); guest != guests_.end()) wanted.insert(guest->second);
  }
  if (wanted.empty()) return {false, TlsRefusal::kUnknownName, 0};
  if (wanted.size() > 1) return {false, TlsRefusal::kAmbiguous, 0};
  const std::string& vm = *wanted.begin();
  Owner owner = {false, TlsRefusal::kNoVm, 0};
  for (const auto& [vm_id, facts] : vms_) {
    if (facts.name != vm && facts.uuid != vm) continue;
    if (owner.found) return {false, TlsRefusal::kAmbiguous, 0};
    owner = {true, TlsRefusal::kNoVm, vm_id};
  }
  return owner;
}

}  // namespace lockhost::server
