"""ONNX: conversion, quantization, checks."""
