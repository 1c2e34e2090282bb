// SPDX-License-Identifier: Apache-2.0
//
// Linked as the agent is. The include goes against the data flow, so the compiler
// must not find it; the test fails if this file ever compiles.
#include "server/subscription/subscription.h"
