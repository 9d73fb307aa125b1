// Precompiled for the tests that need no LibTorch.
#ifndef CHERRY_CMAKE_PCH_TEST_H_
#define CHERRY_CMAKE_PCH_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmake/pch/base.h"

#endif  // CHERRY_CMAKE_PCH_TEST_H_
