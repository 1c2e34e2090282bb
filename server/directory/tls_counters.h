// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_DIRECTORY_TLS_COUNTERS_H_
#define LOCKHOST_SERVER_DIRECTORY_TLS_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lockhost::server {

// Why a TLS connection came to no VM's server.
enum class TlsRefusal : uint8_t {
  kAddress,         // its address connects too fast
  kTooMany,         // newer ones needed its place before its handshake was through
  kSilent,          // the handshake took too long
  kHandshake,       // no TLS, or none that we speak
  kNoCertificate,   // the peer showed none
  kExpired,         // its certificate has expired
  kBadCertificate,  // its certificate is not one of the CA's, or not for clients, or not yet valid
  kRevoked,         // its certificate is on the CA's list of revoked ones
  kNoList,       // there is no such list of its CA, or none that it has signed and that is in date
  kUnknownName,  // no guest of the configuration has a name of the certificate
  kAmbiguous,    // its names, or the guest's, are those of several VMs
  kNoVm,         // the guest's VM is not there
};
inline constexpr std::array<const char*, 12> kTlsRefusalNames = {"address_too_fast",
                                                                 "too_many",
                                                                 "silent",
                                                                 "handshake",
                                                                 "no_certificate",
                                                                 "expired_certificate",
                                                                 "bad_certificate",
                                                                 "revoked_certificate",
                                                                 "no_revocation_list",
                                                                 "unknown_name",
                                                                 "ambiguous",
                                                                 "no_vm"};

// The TLS listener's. Thread-safe.
struct TlsCounters {
  std::atomic<uint64_t> accept_pauses{0};  // times that the listener was left alone for a while
  std::array<std::atomic<uint64_t>, kTlsRefusalNames.size()> refused{};  // index: TlsRefusal

  std::atomic<uint64_t>& of(TlsRefusal why) { return refused[static_cast<size_t>(why)]; }
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_DIRECTORY_TLS_COUNTERS_H_
