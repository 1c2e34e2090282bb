// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_FLAGS_H_
#define LOCKHOST_SERVER_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/config/config.h"

namespace lockhost::server {

// The file that --config names, read now, with what other flags say instead. REQUIRES:
// ParseProgramFlags() has run. INVALID_ARGUMENT names the flag, or the file's line and field.
absl::StatusOr<Config> LoadConfig();

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_FLAGS_H_
