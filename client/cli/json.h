// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_JSON_H_
#define LOCKHOST_CLIENT_CLI_JSON_H_

#include <google/protobuf/message.h>

#include "absl/status/status.h"

namespace lockhost::cli {

// Prints it in one line, so that a stream of messages can be read by line.
absl::Status PrintJson(const google::protobuf::Message& message);

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_JSON_H_
