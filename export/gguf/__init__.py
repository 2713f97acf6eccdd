"""GGUF: conversion, quantization, checks."""
