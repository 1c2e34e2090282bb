// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_TLS_FILES_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_TLS_FILES_H_

#include <string>

namespace lockhost::guest_agent {

// Where the host is reached by TCP: both sides show certificates. PEM; no passphrase.
struct TlsFiles {
  std::string ca;           // of the host's certificate; empty: no TLS
  std::string certificate;  // this guest's
  std::string key;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_TLS_FILES_H_
